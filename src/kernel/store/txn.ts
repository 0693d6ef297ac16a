import { compareKeys } from './key-order.ts'
import { type Operation, StoreError, type TxnRequest } from './store.ts'

/**
 * Checks a transaction before anything is done, by etcd's rules: keys are not empty and are valid Unicode, no key is
 * written twice in one branch. The answer is its size in bytes: keys and values of all operations.
 * @throws StoreError 'too-large' beyond `maxBytes`, 'internal' for a request that no caller should make.
 */
export function checkTxn(request: TxnRequest, maxBytes: number): number {
  let bytes = checkOperations(request.success)
  if (request.failure !== undefined) bytes += checkOperations(request.failure)
  for (const compare of request.compare) bytes += checkKey(compare.key, false)
  if (bytes > maxBytes) {
    throw new StoreError('too-large', `the request of ${bytes} bytes is larger than the ${maxBytes} that are allowed`)
  }
  return bytes
}

function checkOperations(operations: Operation[]): number {
  let bytes = 0
  for (const operation of operations) {
    bytes += checkKey(operation.key, operation.type === 'delete' && operation.prefix === true)
    if (operation.type === 'put') bytes += operation.value.length
  }
  if (operations.length > 1) checkDuplicates(operations)
  return bytes
}

function checkKey(key: string, mayBeEmpty: boolean): number {
  if (key === '' && !mayBeEmpty) throw new StoreError('internal', 'a key must not be empty')
  if (!key.isWellFormed()) throw new StoreError('internal', 'a key must be valid Unicode')
  return key.length
}

function checkDuplicates(operations: Operation[]): void {
  const puts = operations.filter((operation) => operation.type === 'put').map((operation) => operation.key)
  const duplicate = (key: string): StoreError =>
    new StoreError('internal', `key ${key} is written twice in one transaction`)
  puts.sort(compareKeys)
  for (let i = 1; i < puts.length; i++) if (puts[i] === puts[i - 1]) throw duplicate(puts[i]!)
  for (const operation of operations) {
    if (operation.type !== 'delete') continue
    const { key, prefix } = operation
    const hit = puts.find((put) => (prefix === true ? put.startsWith(key) : put === key))
    if (hit !== undefined) throw duplicate(hit)
  }
}
