import type { Client, ResourceId } from '../../src/kernel/client/client.ts'

export type { Client, ResourceId } from '../../src/kernel/client/client.ts'

const serviceAccounts: ResourceId = { group: '', version: 'v1', resource: 'serviceaccounts' }

/** A token of a service account, made by TokenRequest; `spec` as there. */
export async function tokenOf(
  client: Client,
  namespace: string,
  name: string,
  spec: Record<string, unknown> = {},
): Promise<string> {
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: { name, namespace }, spec }
  const answer = await client.create(serviceAccounts, request, { subresource: 'token', name })
  return (answer as unknown as { status: { token: string } }).status.token
}
