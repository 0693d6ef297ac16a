import type { ControllerFactory } from '../feature.ts'
import { namespacedDefault } from './namespaced-defaults.ts'
import type { ControllerOptions } from './options.ts'
import { SERVICE_ACCOUNTS } from './resource-ids.ts'

/** Every namespace has a ServiceAccount `default`; a deleted one comes back. */
export function defaultServiceAccount(options: ControllerOptions = {}): ControllerFactory {
  return namespacedDefault({
    ...options,
    controller: 'default-service-account',
    resource: SERVICE_ACCOUNTS,
    name: 'default',
    desired: (namespace, current) =>
      current === undefined
        ? { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace } }
        : undefined,
  })
}
