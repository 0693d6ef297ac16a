import type { AdmissionRequest, AdmissionStep } from '../types.ts'
import { type Invocation, invocations, selected } from './match.ts'
import { callWebhook, failOpenOrThrow, type WebhookStepOptions } from './mutating.ts'

/** Validating webhooks: all at once, on the object as it will be stored; the first to refuse (in order) is heard. */
export function validatingWebhooks(options: WebhookStepOptions): AdmissionStep {
  return {
    name: 'ValidatingAdmissionWebhook',
    handles: (target) => invocations(options, 'validating', target).length > 0,
    validate: async (request) => {
      // Who is to be asked is known before anybody is: a condition that cannot be evaluated stops the request at once.
      const relevant: [Invocation, number][] = []
      for (const [index, invocation] of invocations(options, 'validating', request).entries())
        if (await selected(options, invocation, request)) relevant.push([invocation, index])
      const results = await Promise.allSettled(
        relevant.map(([invocation, index]) => ask(options, request, invocation, index)),
      )
      for (const result of results) if (result.status === 'rejected') throw result.reason
    },
  }
}

async function ask(
  options: WebhookStepOptions,
  request: AdmissionRequest,
  invocation: Invocation,
  index: number,
): Promise<void> {
  const { webhook } = invocation
  try {
    await callWebhook(options, request, invocation)
  } catch (error) {
    const key = `failed-open.validating.webhook.admission.k8s.io/round_0_index_${index}`
    failOpenOrThrow(options, request, webhook, error as Error, key)
  }
}
