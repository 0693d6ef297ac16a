import type { AdmissionRequest, AdmissionStep } from '../types.ts'
import { type Invocation, invocations, selected } from './match.ts'
import { callWebhook, failOpenOrThrow, type WebhookStepOptions } from './mutating.ts'

/** Validating webhooks: all at once, on the object as it will be stored; the first to refuse (in order) is heard. */
export function validatingWebhooks(options: WebhookStepOptions): AdmissionStep {
  return {
    name: 'ValidatingAdmissionWebhook',
    handles: (target) => invocations(options, 'validating', target).length > 0,
    validate: async (request) => {
      const results = await Promise.allSettled(
        invocations(options, 'validating', request).map((invocation, index) =>
          ask(options, request, invocation, index),
        ),
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
  if (!(await selected(options, webhook, request))) return
  try {
    await callWebhook(options, request, invocation)
  } catch (error) {
    const key = `failed-open.validating.webhook.admission.k8s.io/round_0_index_${index}`
    failOpenOrThrow(options, request, webhook, error as Error, key)
  }
}
