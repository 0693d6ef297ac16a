import { type ApiError, forbidden } from '../../api/status.ts'
import type { Attributes, Decision } from '../../authz/types.ts'
import { type CelDecision, celAuthorizer } from '../../resources/custom/cel-authorizer.ts'
import { MAX_MATCH_CONDITION_STEPS, MAX_RULE_STEPS } from '../../resources/custom/limits.ts'
import { BudgetError, matchConditionVariables } from '../../resources/custom/match-condition.ts'
import type { AdmissionRequest } from '../types.ts'
import type { CompiledCondition } from './configuration.ts'
import type { Invocation } from './match.ts'
import { inForm, requestAttributes } from './review.ts'

type Authorize = (attributes: Attributes) => Decision | Promise<Decision>

const OUT_OF_BUDGET = 'validation failed due to running out of cost budget, no further validation rules will be run'

/**
 * Whether the webhook's match conditions let it see the request: one that is false is enough not to call it, whatever
 * the others say; otherwise one that cannot be evaluated refuses the request with 403 or, by failurePolicy Ignore, keeps
 * the webhook out of it.
 */
export async function conditionsMet(
  authorize: Authorize,
  { webhook, as }: Invocation,
  request: AdmissionRequest,
): Promise<boolean> {
  const decisions = new Decisions(authorize)
  const variables = matchConditionVariables({
    object: inForm(request.object, request, as),
    oldObject: inForm(request.oldObject, request, as),
    request: requestAttributes(as, request),
    authorizer: celAuthorizer(request.user, decisions.ask, {
      group: request.definition.group,
      resource: request.definition.plural,
      subresource: request.subresource,
      namespace: request.namespace,
      name: request.name,
    }),
  })
  const errors: string[] = []
  let steps = MAX_MATCH_CONDITION_STEPS
  for (const condition of webhook.conditions) {
    if (steps <= 0) return refuse(webhook.ignoreFailures, request, [OUT_OF_BUDGET])
    const result = await evaluate(condition, variables, decisions, Math.min(steps, MAX_RULE_STEPS))
    steps -= result.steps
    if (result.value === false) return false
    if ('error' in result) errors.push(`expression '${condition.text.trim()}' resulted in error: ${result.error}`)
  }
  return errors.length === 0 || refuse(webhook.ignoreFailures, request, errors)
}

function refuse(ignore: boolean, request: AdmissionRequest, errors: readonly string[]): false {
  if (ignore) return false
  throw failure(request, errors)
}

function failure({ definition, name }: AdmissionRequest, errors: readonly string[]): ApiError {
  const why = errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]`
  return forbidden(definition.group, definition.plural, name, why)
}

type Result = { steps: number } & ({ value: boolean } | { value: undefined; error: string })

/** Again when an authorizer had to be waited for; what one evaluation has asked is known to the next. */
async function evaluate(
  condition: CompiledCondition,
  variables: Record<string, unknown>,
  decisions: Decisions,
  allowed: number,
): Promise<Result> {
  for (;;) {
    try {
      const { value, steps } = condition.expression().evaluate(variables, allowed)
      if (typeof value === 'boolean') return { value, steps }
      return { value: undefined, error: 'the value is no bool', steps }
    } catch (error) {
      if (await decisions.settled()) continue
      // How far it came is not known: it counts as all that it was given.
      const steps = error instanceof BudgetError ? allowed : 0
      return { value: undefined, error: celWords(error as Error), steps }
    }
  }
}

function celWords({ message }: Error): string {
  return message.split('\n')[0]!.replace(/^No such key/, 'no such key')
}

class Undecided extends Error {}

/** Answers of the authorizers for one webhook and request. Expressions are synchronous, authorizers need not be. */
class Decisions {
  readonly #authorize: Authorize
  readonly #known = new Map<string, CelDecision>()
  readonly #pending = new Map<string, Promise<CelDecision>>()

  constructor(authorize: Authorize) {
    this.#authorize = authorize
  }

  readonly ask = (attributes: Attributes): CelDecision => {
    const key = JSON.stringify(attributes)
    const known = this.#known.get(key)
    if (known !== undefined) return known
    if (!this.#pending.has(key)) {
      const decision = this.#authorize(attributes)
      if (!(decision instanceof Promise)) {
        const now = celDecision(decision)
        this.#known.set(key, now)
        return now
      }
      this.#pending.set(key, decision.then(celDecision, failed))
    }
    throw new Undecided('an authorizer has not decided yet')
  }

  /** Waits for what was asked; false when nothing was. */
  async settled(): Promise<boolean> {
    if (this.#pending.size === 0) return false
    for (const [key, decision] of this.#pending) this.#known.set(key, await decision)
    this.#pending.clear()
    return true
  }
}

function celDecision(decision: Decision): CelDecision {
  const reason = decision.verdict === 'next' ? decision.reason : decision.by.reason
  return { allowed: decision.verdict === 'allow', reason: reason ?? '', error: '' }
}

const failed = (error: Error): CelDecision => ({ allowed: false, reason: '', error: error.message })
