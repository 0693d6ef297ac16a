import type { ResourceList } from '../../resources/kinds/pod/types.ts'

/** LimitRangeItem. */
export type LimitItem = {
  type?: string
  default?: ResourceList
  defaultRequest?: ResourceList
  min?: ResourceList
  max?: ResourceList
  maxLimitRequestRatio?: ResourceList
}
