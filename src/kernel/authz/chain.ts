import type { Attributes, Authorizer, Decision } from './types.ts'

export type AuthorizerChain = {
  /** First allow or deny wins; nobody decides: `next` with what each had to say. Synchronous when its authorizers are. */
  authorize: (attributes: Attributes) => Decision | Promise<Decision>
  authorizers: readonly Authorizer[]
}

/** Authorizers in order, as k8s.io/apiserver's union; an authorizer that throws denies. */
export function createAuthorizerChain(authorizers: readonly Authorizer[]): AuthorizerChain {
  const ask = (authorizer: Authorizer, attributes: Attributes): Decision | Promise<Decision> => {
    try {
      const decision = authorizer.authorize(attributes)
      return decision instanceof Promise ? decision.catch((error: Error) => failed(authorizer, error)) : decision
    } catch (error) {
      return failed(authorizer, error as Error)
    }
  }

  const from = (start: number, attributes: Attributes, reasons: string[]): Decision | Promise<Decision> => {
    for (let i = start; i < authorizers.length; i++) {
      const decision = ask(authorizers[i]!, attributes)
      if (decision instanceof Promise)
        return decision.then((settled) => {
          if (settled.verdict !== 'next') return settled
          if (settled.reason) reasons.push(settled.reason)
          return from(i + 1, attributes, reasons)
        })
      if (decision.verdict !== 'next') return decision
      if (decision.reason) reasons.push(decision.reason)
    }
    return { verdict: 'next', reason: reasons.join('\n') }
  }

  return { authorizers, authorize: (attributes) => from(0, attributes, []) }
}

function failed(authorizer: Authorizer, error: Error): Decision {
  return {
    verdict: 'deny',
    by: { authorizer: authorizer.name, reason: `${authorizer.name} could not decide: ${error.message}` },
  }
}
