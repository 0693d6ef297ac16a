/** `up` as a program of its own, for tests that kill it: NAME FOLDER KEY. */
import { createLab } from './index.ts'

const [name, directory, sshPublicKey] = process.argv.slice(2)
await createLab({ name: name!, directory: directory! }).up({ machines: 2, sshPublicKey: sshPublicKey! })
