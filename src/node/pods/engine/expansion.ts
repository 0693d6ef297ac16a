/**
 * `$(NAME)` becomes its value, `$$` a dollar sign; an unknown name, and a dollar before anything else, stay as they are
 * (third_party/forked/golang/expansion).
 */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  let result = ''
  let at = 0
  for (let dollar = text.indexOf('$'); dollar >= 0 && dollar + 1 < text.length; dollar = text.indexOf('$', at)) {
    result += text.slice(at, dollar)
    const next = text[dollar + 1]
    if (next === '$') {
      result += '$'
      at = dollar + 2
    } else if (next === '(') {
      const close = text.indexOf(')', dollar + 2)
      if (close < 0) {
        result += '$('
        at = dollar + 2
      } else {
        const name = text.slice(dollar + 2, close)
        result += lookup(name) ?? `$(${name})`
        at = close + 1
      }
    } else {
      result += `$${next}`
      at = dollar + 2
    }
  }
  return result + text.slice(at)
}
