import type { Environment } from '@marcbachmann/cel-js'
import type { Json } from '../../api/object.ts'
import type { Schema } from '../schema.ts'
import { registerAuthorizer } from './cel-authorizer.ts'
import { celEnvironment, compileExpression, type Expression } from './cel-environment.ts'
import { type CelType, CelTypes, convertAny } from './cel-schema.ts'

export { BudgetError, type Expression } from './cel-environment.ts'

/**
 * matchConditions of admission webhooks (KEP-3716): CEL over object, oldObject, request and authorizer, as
 * k8s.io/apiserver/pkg/admission/plugin/cel declares them.
 */

const text: Schema = { type: 'string' }
const strings: Schema = { type: 'array', items: text }
const anything: Schema = { 'x-kubernetes-int-or-string': true }
const record = (...names: string[]): Schema => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, text])),
})

/** AdmissionRequest without uid, object and oldObject. */
const REQUEST: Schema = {
  type: 'object',
  properties: {
    kind: record('group', 'version', 'kind'),
    resource: record('group', 'version', 'resource'),
    subResource: text,
    requestKind: record('group', 'version', 'kind'),
    requestResource: record('group', 'version', 'resource'),
    requestSubResource: text,
    name: text,
    namespace: text,
    operation: text,
    userInfo: {
      type: 'object',
      properties: {
        ...record('username', 'uid').properties,
        groups: strings,
        extra: { type: 'object', additionalProperties: strings },
      },
    },
    dryRun: { type: 'boolean' },
    options: anything,
  },
}

let made: { environment: Environment; request: CelType } | undefined

function declared(): { environment: Environment; request: CelType } {
  if (made !== undefined) return made
  const environment = celEnvironment()
  const request = new CelTypes(environment).typeOf(REQUEST)!
  registerAuthorizer(environment)
  environment
    .registerVariable('object', 'dyn')
    .registerVariable('oldObject', 'dyn')
    .registerVariable('namespaceObject', 'dyn')
    .registerVariable('request', request.name)
  return (made = { environment, request })
}

/** Throws an Error with the detail of Kubernetes' refusal when the text is no expression that yields a bool. */
export function compileMatchCondition(source: string): Expression {
  let expression: Expression
  try {
    expression = compileExpression(declared().environment.clone(), source)
  } catch (error) {
    // cel-go's words.
    const message = (error as Error).message
      .replace(/^No such key: (\S+)/, "undefined field '$1'")
      .replace(/^Unknown variable: (\S+)/, "undeclared reference to '$1' (in container '')")
    throw new Error(`compilation failed: ${message}`)
  }
  if (expression.type !== 'bool') throw new Error(`must evaluate to bool but got ${expression.type}`)
  return expression
}

/** Values of the variables; absent objects are null, and webhooks are not given the namespace. */
export function matchConditionVariables(given: {
  object: Json
  oldObject: Json
  /** AdmissionRequest as JSON. */
  request: Json
  authorizer: object
}): Record<string, unknown> {
  return {
    object: convertAny(given.object),
    oldObject: convertAny(given.oldObject),
    namespaceObject: null,
    request: declared().request.convert(given.request),
    authorizer: given.authorizer,
  }
}
