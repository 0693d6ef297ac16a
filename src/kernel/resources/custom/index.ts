/** CustomResourceDefinitions: their own validation, and everything that objects of custom kinds need. Pure. */

export { type CustomCodec, compileCustom } from './codec.ts'
export type { CrdStatus } from './crd.ts'
export { defaultCustomResourceDefinition } from './crd-defaults.ts'
export {
  customResourceDefinitionWarnings,
  validateCustomResourceDefinition,
  validateCustomResourceDefinitionUpdate,
} from './crd-validation.ts'
export { defaultCustom } from './defaulting.ts'
export { definitionsFromCrd } from './definitions.ts'
export { establish, withTermination } from './establish.ts'
export { evaluateJsonPath, type JsonPath, parseJsonPath } from './json-path.ts'
export { pruneCustom, unknownFieldsCustom } from './prune.ts'
export { readScale, type Scale, writeScale } from './scale.ts'
export { validateCustom } from './validate-custom.ts'
