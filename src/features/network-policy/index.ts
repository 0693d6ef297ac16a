export { applyTransaction } from './compiler/apply.ts'
export { type BaseOptions, type LogOptions, POLICY_TABLE } from './compiler/base.ts'
export { Compiler, type CompilerOptions } from './compiler/compiler.ts'
export { diff, isElementsOnly, type Operation, type Transaction } from './compiler/diff.ts'
export { type EncodedElement, encodeElement } from './compiler/encode.ts'
export { parseLogPrefix } from './compiler/fragment.ts'
export type {
  Attribution,
  Chain,
  Element,
  FieldType,
  NamedSet,
  NftFamily,
  Program,
  Rule,
  Statement,
  Table,
  VerdictMap,
} from './compiler/program.ts'
export { renderProgram, renderReplacement, renderRule, renderTransaction } from './compiler/render.ts'
export { networkPolicy } from './feature.ts'
export { clusterNetworkPolicyKind } from './kind.ts'
export {
  type DecidedBy,
  type DirectionVerdict,
  type Endpoint,
  type Query,
  type Verdict,
  verdict,
} from './model/evaluate.ts'
export { NetworkPolicyModel } from './model/model.ts'
export { type Change, describeChange, describeNearMiss, type NearMiss } from './model/near-miss.ts'
export { type Direction, MODE_ANNOTATION, type Protocol } from './model/types.ts'
