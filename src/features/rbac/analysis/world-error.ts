/** What was given cannot be read as roles and bindings; the message names the object and its place. */
export class RbacWorldError extends Error {
  override readonly name = 'RbacWorldError'
}
