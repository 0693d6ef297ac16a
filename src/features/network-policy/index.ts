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
