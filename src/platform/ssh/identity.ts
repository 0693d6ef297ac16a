import { createPrivateKey } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import ssh2, { type ParsedKey } from 'ssh2'

/** How we prove who we are: a key, or the agent behind a socket. Passwords are not spoken. */
export type SshIdentity = { key: ParsedKey; file: string } | { agentSocket: string }

const MAX_KEY_BYTES = 64 * 1024

/** Types that are signed with; DSA and RSA below 2048 bits are not. */
function weakness(key: ParsedKey): string | undefined {
  if (key.type === 'ssh-dss') return 'DSA keys are not accepted'
  if (key.type !== 'ssh-rsa') return undefined
  // RFC 4253: "ssh-rsa", e, n; n has a leading zero octet when its first bit is set.
  const blob = key.getPublicSSH()
  const e = blob.readUInt32BE(11)
  const bits = (blob.readUInt32BE(15 + e) - 1) * 8
  return bits < 2048 ? `an RSA key of ${bits} bits is too short` : undefined
}

/** PKCS#8 (`ssh-keygen -m PKCS8`) as the older PEM formats, which the library reads. */
function fromPkcs8(text: Buffer, refuse: (why: string) => Error): Buffer {
  if (text.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----'))
    throw refuse('encrypted PKCS#8 is not read: convert it with ssh-keygen -p')
  if (!text.includes('-----BEGIN PRIVATE KEY-----')) return text
  try {
    const key = createPrivateKey(text)
    const type = key.asymmetricKeyType === 'rsa' ? 'pkcs1' : 'sec1'
    return Buffer.from(key.export({ format: 'pem', type }) as string)
  } catch {
    // The reason may quote the key.
    throw refuse('it is not an RSA or EC key in PKCS#8: convert it with ssh-keygen -p')
  }
}

/**
 * Reads a private key in OpenSSH's or a PEM format. `askPassphrase` is called when it is encrypted; without it that is an
 * error. Errors name the file, never its content.
 */
export async function readIdentity(
  file: string,
  askPassphrase?: (question: string) => Promise<string>,
): Promise<SshIdentity> {
  const refuse = (why: string): Error => new Error(`identity ${file}: ${why}`)
  let text: Buffer
  try {
    const stat = statSync(file)
    if (!stat.isFile()) throw refuse('it is not a file')
    if (stat.size > MAX_KEY_BYTES) throw refuse(`it is larger than ${MAX_KEY_BYTES} bytes`)
    if ((stat.mode & 0o077) !== 0) throw refuse('others may read it: chmod 600')
    text = readFileSync(file)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw code === undefined ? error : refuse(code === 'ENOENT' ? 'there is no such file' : message)
  }
  text = fromPkcs8(text, refuse)
  let parsed = ssh2.utils.parseKey(text)
  if (parsed instanceof Error && /encrypted/i.test(parsed.message)) {
    if (askPassphrase === undefined)
      throw refuse('it is encrypted, and nobody is there to ask for its passphrase: use an agent')
    parsed = ssh2.utils.parseKey(text, await askPassphrase(`Passphrase of ${file}: `))
    if (parsed instanceof Error) throw refuse('the passphrase is wrong')
  }
  // The parser's own messages may quote the key.
  if (parsed instanceof Error) throw refuse('it is not a private key that can be read')
  const key = Array.isArray(parsed) ? (parsed as ParsedKey[])[0]! : parsed
  if (!key.isPrivateKey()) throw refuse('it is a public key')
  const weak = weakness(key)
  if (weak !== undefined) throw refuse(weak)
  return { key, file }
}
