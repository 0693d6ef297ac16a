/** Where a document stops being JSON. The message names a character and an offset, never the text around it. */
export class JsonSyntaxError extends Error {}

/** sigs.k8s.io/json stops collecting there. */
const MAX_ERRORS = 100

/**
 * Walks a JSON text and names its repeated fields, once each, as `duplicate field "spec.containers[0].name"`.
 * The slow path of decodeJson: taken only when a document has repeated names or is not JSON at all.
 * Throws JsonSyntaxError. The caller has bounded the depth.
 */
export function scanDuplicates(text: string): string[] {
  return new Scanner(text).run()
}

const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const LITERAL = /true|false|null/y
const SPACE = /[ \t\n\r]*/y

class Scanner {
  readonly #text: string
  readonly #path: string[] = []
  readonly #found = new Set<string>()
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  run(): string[] {
    this.#value()
    if (this.#at < this.#text.length) this.#fail('after top-level value')
    return [...this.#found].slice(0, MAX_ERRORS)
  }

  #value(): void {
    const c = this.#peek()
    if (c === '{') this.#object()
    else if (c === '[') this.#array()
    else if (c === '"') this.#string()
    else if (c === '-' || (c >= '0' && c <= '9')) this.#match(NUMBER, 'in numeric literal')
    else this.#match(LITERAL, 'looking for beginning of value')
    this.#match(SPACE, '')
  }

  #object(): void {
    const seen = new Set<string>()
    const dot = this.#path.length === 0 ? '' : '.'
    this.#at++
    if (this.#peek() === '}') {
      this.#at++
      return
    }
    for (;;) {
      if (this.#peek() !== '"') this.#fail('looking for beginning of object key string')
      const key: string = JSON.parse(this.#string())
      if (seen.has(key)) this.#found.add(`duplicate field ${JSON.stringify(this.#path.join('') + dot + key)}`)
      seen.add(key)
      if (this.#peek() !== ':') this.#fail('after object key')
      this.#at++
      this.#path.push(dot + key)
      this.#value()
      this.#path.pop()
      const c = this.#peek()
      this.#at++
      if (c === '}') return
      if (c !== ',') this.#failBefore('after object key:value pair')
    }
  }

  #array(): void {
    this.#at++
    if (this.#peek() === ']') {
      this.#at++
      return
    }
    for (let i = 0; ; i++) {
      this.#path.push(`[${i}]`)
      this.#value()
      this.#path.pop()
      const c = this.#peek()
      this.#at++
      if (c === ']') return
      if (c !== ',') this.#failBefore('after array element')
    }
  }

  /** The next character after white space; '' at the end. */
  #peek(): string {
    SPACE.lastIndex = this.#at
    SPACE.test(this.#text)
    this.#at = SPACE.lastIndex
    return this.#text[this.#at] ?? ''
  }

  #match(pattern: RegExp, where: string): string {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)
    if (match === null) this.#fail(where)
    this.#at = pattern.lastIndex
    return match[0]
  }

  /** The literal with its quotes. Steps by hand: a regular expression would need a stack as long as the string. */
  #string(): string {
    const start = this.#at++
    for (;;) {
      const c = this.#text.charCodeAt(this.#at)
      if (c === 0x22) break
      if (c === 0x5c) this.#match(ESCAPE, 'in string escape code')
      else if (c >= 0x20) this.#at++
      else this.#fail('in string literal')
    }
    return this.#text.slice(start, ++this.#at)
  }

  #failBefore(where: string): never {
    this.#at--
    this.#fail(where)
  }

  #fail(where: string): never {
    const c = this.#text[this.#at]
    if (c === undefined) throw new JsonSyntaxError('unexpected end of JSON input')
    const shown = c === "'" ? `'\\''` : `'${JSON.stringify(c).slice(1, -1)}'`
    throw new JsonSyntaxError(`invalid character ${shown} ${where} (offset ${this.#at})`)
  }
}
