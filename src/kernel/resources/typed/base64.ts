const CANONICAL = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/

/** Whether the text is what encoding its bytes again would give: nothing to check or to rewrite. */
export function isCanonicalBase64(text: string): boolean {
  return CANONICAL.test(text)
}

function isDigit(c: number): boolean {
  return (c >= 0x61 && c <= 0x7a) || (c >= 0x41 && c <= 0x5a) || (c >= 0x30 && c <= 0x39) || c === 0x2b || c === 0x2f
}

const PAD = 0x3d

/**
 * Where Go's base64.StdEncoding stops reading: the N of `illegal base64 data at input byte N`. Undefined when it
 * reads all: line breaks are skipped, and bits beyond the last byte may be set.
 */
export function illegalBase64At(text: string): number | undefined {
  const skipBreaks = (from: number): number => {
    let i = from
    while (text[i] === '\n' || text[i] === '\r') i++
    return i
  }
  let digits = 0
  for (let i = skipBreaks(0); i < text.length; i = skipBreaks(i + 1)) {
    const c = text.charCodeAt(i)
    if (isDigit(c)) {
      digits = (digits + 1) % 4
      continue
    }
    if (c !== PAD || digits < 2) return i
    let end = skipBreaks(i + 1)
    if (digits === 2) {
      if (end >= text.length) return text.length
      if (text.charCodeAt(end) !== PAD) return end
      end = skipBreaks(end + 1)
    }
    return end < text.length ? end : undefined
  }
  return digits === 0 ? undefined : text.length - digits
}
