import { apiVersionOf, type GroupVersionKind, type Json, type KubeObject } from '../../api/object.ts'
import { badRequest } from '../../api/status.ts'
import { definitionOf, loadDefinitions } from '../../resources/definitions.ts'
import { cannotBeHandled, compileTyped, strictDecodingError, type Typed } from '../../resources/typed/index.ts'
import type { FieldValidation } from '../kind.ts'
import { requireObject } from './decode.ts'

/** Versions that clients of older servers still send; their fields are the same. */
const OTHER_VERSIONS: Readonly<Record<string, readonly string[]>> = { 'policy/v1 Eviction': ['policy/v1beta1'] }

const compiled = new Map<string, Typed>()

/** Codec of a kind that has no path of its own, compiled at its first use. */
function codecOf(definition: string, kind: string, version: string): Typed {
  let codec = compiled.get(definition)
  if (codec === undefined) {
    const schemas = loadDefinitions()
    const schema = schemas.get(definition)
    if (schema === undefined) throw new Error(`there is no schema of ${version} ${kind}`)
    compiled.set(definition, (codec = compileTyped(schema, schemas, { kind, version })))
  }
  return codec
}

/**
 * Body of a subresource whose kind is not its parent's: TokenRequest, Eviction, Binding, Scale. `complaints` are what
 * fieldValidation=Warn warns of. Throws BadRequest for another kind, wrong types, and what Strict does not allow.
 */
export function decodeForeign(
  value: Json,
  duplicates: readonly string[],
  wanted: GroupVersionKind,
  fieldValidation: FieldValidation,
): { object: KubeObject; complaints: readonly string[] } {
  const { kind: given, apiVersion, metadata, ...rest } = requireObject(value)
  const { group, version, kind } = wanted
  const expected = apiVersionOf(group, version)
  const versions = [expected, ...(OTHER_VERSIONS[`${expected} ${kind}`] ?? [])]
  if ((given || kind) !== kind || !versions.includes((apiVersion || expected) as string))
    throw badRequest(
      `the body is ${JSON.stringify(apiVersion ?? '')} ${JSON.stringify(given ?? '')}, expected ${expected} ${kind}`,
    )
  if (metadata !== undefined && metadata !== null && (typeof metadata !== 'object' || Array.isArray(metadata)))
    throw cannotBeHandled(kind, version, 'metadata must be an object')
  const object = { kind, apiVersion: expected, metadata: metadata ?? {}, ...rest } as KubeObject
  const codec = codecOf(definitionOf(group, version, kind) ?? '', kind, version)
  const unknown = codec.check(object, fieldValidation !== 'Ignore')
  const complaints = [...duplicates, ...unknown]
  if (fieldValidation === 'Strict' && complaints.length > 0) throw strictDecodingError(kind, version, complaints)
  return { object, complaints }
}

const DELETE_OPTIONS = 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions'

/** Body of a DELETE; clients send it as v1, meta.k8s.io/v1, or in the version of what they delete. */
export function decodeDeleteOptions(value: Json): KubeObject {
  const { kind = '', apiVersion = '', ...rest } = requireObject(value)
  if ((kind !== '' && kind !== 'DeleteOptions') || typeof apiVersion !== 'string')
    throw badRequest(`decoded object cannot be converted to DeleteOptions: it is a ${JSON.stringify(kind)}`)
  const object = { kind: 'DeleteOptions', apiVersion: 'v1', ...rest } as unknown as KubeObject
  codecOf(DELETE_OPTIONS, 'DeleteOptions', 'v1').check(object, false)
  return object
}
