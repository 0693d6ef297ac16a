import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decryptRequest, encryptResponse, statusResponse } from './messages.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('KMS v2 messages', () => {
  // Worked out by hand from the encoding guide and the field numbers.
  it('lie on the wire as the field numbers say', () => {
    assert.deepEqual(
      statusResponse.encode({ version: 'v2', healthz: 'ok', keyId: 'k' }),
      hex('0a 02 7632 12 02 6f6b 1a 01 6b'),
    )
    assert.deepEqual(
      encryptResponse.encode({ ciphertext: hex('01'), keyId: 'k', annotations: { b: hex('02'), a: hex('') } }),
      hex('0a 01 01 12 01 6b 1a 03 0a0161 1a 06 0a0162 120102'),
    )
    assert.deepEqual(
      decryptRequest.encode({ ciphertext: hex('01'), uid: 'u', keyId: 'k', annotations: { a: hex('ff') } }),
      hex('0a 01 01 12 01 75 1a 01 6b 22 06 0a0161 1201ff'),
    )
  })

  it('read maps as protobuf does: the last of equal keys counts, absent parts are empty', () => {
    const { annotations } = encryptResponse.decode(hex('1a 06 0a0161 120101 1a 06 0a0161 120102 1a 00'))
    assert.deepEqual({ ...annotations }, { a: hex('02'), '': hex('') })
    assert.equal(Object.getPrototypeOf(annotations), null)
  })

  it('survive encoding', () => {
    const bytes = fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value))
    const annotations = fc.dictionary(fc.string({ unit: 'binary' }), bytes)
    const any = fc.record({ ciphertext: bytes, uid: fc.string(), keyId: fc.string({ unit: 'binary' }), annotations })
    fc.assert(
      fc.property(any, (value) => {
        const back = decryptRequest.decode(decryptRequest.encode(value))
        assert.deepEqual(
          { ...back, annotations: { ...back.annotations } },
          { ...value, annotations: { ...value.annotations } },
        )
      }),
    )
  })
})
