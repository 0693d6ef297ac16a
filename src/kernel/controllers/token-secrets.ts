import type { KubeObject } from '../api/object.ts'
import { ACCOUNT_NAME, ACCOUNT_UID, type LegacyTokens, TOKEN_SECRET_TYPE } from '../authn/legacy-token.ts'
import { createInformer } from '../controller/informer.ts'
import { keyOf, splitKey } from '../controller/store.ts'
import { WorkQueue } from '../controller/workqueue.ts'
import type { ControllerFactory } from '../feature.ts'
import { ifFound, unless } from './api-errors.ts'
import type { ControllerOptions } from './options.ts'
import { SECRETS, SERVICE_ACCOUNTS } from './resource-ids.ts'
import { runLoop } from './run-loop.ts'

export type TokenSecretsOptions = ControllerOptions & {
  tokens: Pick<LegacyTokens, 'issue' | 'fits'>
  /** PEM certificates, for `ca.crt`. */
  rootCa: () => string
}

/**
 * Fills the Secrets of type kubernetes.io/service-account-token that somebody made (nobody gets one unasked), and
 * deletes those whose account is gone or is another one now: kube-controller-manager's tokens controller. A token whose
 * signing key was retired is replaced.
 */
export function tokenSecrets(options: TokenSecretsOptions): ControllerFactory {
  const { tokens, rootCa } = options
  return ({ client, log }) => ({
    name: 'token-secrets',
    run: async (signal) => {
      const timing = {
        log,
        ...(options.timers && { timers: options.timers }),
        ...(options.random && { random: options.random }),
      }
      const queue = new WorkQueue(options.timers ? { timers: options.timers } : {})
      const secrets = createInformer({
        client,
        resource: SECRETS,
        fieldSelector: `type=${TOKEN_SECRET_TYPE}`,
        transform: namesOnly,
        resyncMs: 600_000,
        ...timing,
      })
      const accounts = createInformer({ client, resource: SERVICE_ACCOUNTS, ...timing })
      const enqueue = (secret: KubeObject): void => queue.add(keyOf(secret))
      secrets.addHandler({ onAdd: enqueue, onUpdate: enqueue })
      const enqueueOf = (account: KubeObject): void => {
        for (const secret of secrets.store.list())
          if (
            secret.metadata.namespace === account.metadata.namespace &&
            secret.metadata.annotations?.[ACCOUNT_NAME] === account.metadata.name
          )
            enqueue(secret)
      }
      accounts.addHandler({ onAdd: enqueueOf, onDelete: enqueueOf })

      const reconcile = async (key: string): Promise<void> => {
        if (secrets.store.get(key) === undefined) return
        const { namespace, name } = splitKey(key)
        const secret = await ifFound(client.get(SECRETS, namespace, name))
        if (secret?.['type'] !== TOKEN_SECRET_TYPE || secret.metadata.deletionTimestamp) return
        const { annotations = {}, uid, resourceVersion } = secret.metadata
        const account = await ifFound(client.get(SERVICE_ACCOUNTS, namespace, annotations[ACCOUNT_NAME] ?? ''))
        const known = annotations[ACCOUNT_UID]
        if (account === undefined || (known && known !== account.metadata.uid)) {
          const preconditions = { uid: uid!, resourceVersion: resourceVersion! }
          await unless(client.delete(SECRETS, namespace, name, { preconditions }), 'NotFound', 'Conflict')
          return
        }
        const data = (secret['data'] ?? {}) as Record<string, string>
        const wanted = desiredData(data, account, name)
        if (known && Object.keys(wanted).every((k) => wanted[k] === data[k])) return
        await client.update(SECRETS, {
          ...secret,
          metadata: { ...secret.metadata, annotations: { ...annotations, [ACCOUNT_UID]: account.metadata.uid! } },
          data: { ...data, ...wanted },
        })
      }

      const desiredData = (
        data: Record<string, string>,
        account: KubeObject,
        secret: string,
      ): Record<string, string> => {
        const base64 = (text: string): string => Buffer.from(text).toString('base64')
        const held = Buffer.from(data['token'] ?? '', 'base64').toString()
        return {
          'ca.crt': base64(rootCa()),
          namespace: base64(account.metadata.namespace!),
          token: tokens.fits(held, account, secret) ? data['token']! : base64(tokens.issue(account, secret)),
        }
      }
      await runLoop({ informers: [secrets, accounts], queue, reconcile, workers: 2, log }, signal)
    },
  })
}

/** No token is kept in memory. */
function namesOnly(secret: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, annotations = {} } = secret.metadata
  return {
    apiVersion: secret.apiVersion,
    kind: secret.kind,
    metadata: {
      name: name!,
      namespace: namespace!,
      uid: uid!,
      resourceVersion: resourceVersion!,
      annotations: { [ACCOUNT_NAME]: annotations[ACCOUNT_NAME] ?? '' },
    },
  }
}
