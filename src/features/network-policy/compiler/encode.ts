import { ipAddress, rangeOfCidr } from '../model/addresses.ts'
import type { Element, FieldType } from './program.ts'

/** Bytes of an element's key as the kernel compares them: network byte order, each field filled up to four bytes. */
export type EncodedElement = { key: Buffer /** Of an interval: its last key. */; end?: Buffer }

const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 }
/** IFNAMSIZ. */
const NAME_BYTES = 16

/** Throws an Error that names the element when it does not fit the key. */
export function encodeElement(key: readonly FieldType[], element: Element, interval = false): EncodedElement {
  const parts = element.split(' . ')
  if (parts.length !== key.length) throw new Error(`${element} has ${parts.length} fields, not ${key.length}`)
  const bounds = parts.map((part, i) => boundsOf(key[i]!, part, element))
  const first = Buffer.concat(bounds.map(([low]) => low))
  if (!interval) return { key: first }
  return { key: first, end: Buffer.concat(bounds.map(([, high]) => high)) }
}

function boundsOf(type: FieldType, text: string, element: Element): [Buffer, Buffer] {
  switch (type) {
    case 'ipv4_addr':
      return addressBounds(text, 4, element)
    case 'ipv6_addr':
      return addressBounds(text, 16, element)
    case 'ifname': {
      const name = Buffer.alloc(NAME_BYTES)
      name.write(text.replaceAll('"', ''))
      return [name, name]
    }
    default: {
      const [low, high] = (PROTOCOLS[text] === undefined ? text.split('-') : [String(PROTOCOLS[text])]).map(Number)
      const bytes = type === 'inet_proto' ? 1 : 2
      const field = (value: number): Buffer => {
        if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * bytes))
          throw new Error(`${element}: ${text} is not of type ${type}`)
        const buffer = Buffer.alloc(4)
        buffer.writeUIntBE(value, 0, bytes)
        return buffer
      }
      return [field(low!), field(high ?? low!)]
    }
  }
}

function addressBounds(text: string, bytes: 4 | 16, element: Element): [Buffer, Buffer] {
  const block = rangeOfCidr(text)
  const [first, last = first] = text.split('-') as [string, string?]
  const low = block?.first ?? ipAddress(first)?.value
  const high = block?.last ?? ipAddress(last!)?.value
  if (low === undefined || high === undefined) throw new Error(`${element}: ${text} is not an address`)
  return [addressBytes(low, bytes), addressBytes(high, bytes)]
}

const addressBytes = (value: bigint, bytes: number): Buffer =>
  Buffer.from(value.toString(16).padStart(bytes * 2, '0'), 'hex')
