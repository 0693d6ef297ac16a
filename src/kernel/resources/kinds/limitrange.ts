import type { KubeObject } from '../../api/object.ts'
import { compareQuantity, type Quantity, quantityMilliValue, quantityOf, quantityValue } from '../../api/quantity.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { qualifiedName } from '../validation/names.ts'
import { dropNulls } from './pod/defaults.ts'
import { invalidEach } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'
import { containerResourceName, isOvercommitAllowed, resourceName } from './pod/resource-names.ts'
import { canonicalizeResourceList, readQuantity } from './pod/resources.ts'
import type { ResourceList } from './pod/types.ts'

const LISTS = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const
type List = (typeof LISTS)[number]
type LimitRangeItem = { type?: string } & { [list in List]?: ResourceList }

const TYPES = ['Pod', 'Container', 'PersistentVolumeClaim']
/** Ratios are compared in thousandths up to here, in whole units beyond. */
const MAX_MILLI_VALUE = 9_223_372_036_854_775n

const itemsOf = (range: KubeObject): LimitRangeItem[] => range['spec']?.limits ?? []

function defaults(range: KubeObject): void {
  range['spec'] ??= {}
  dropNulls(range['spec'])
  for (const item of itemsOf(range)) {
    for (const list of LISTS) canonicalizeResourceList(item[list])
    if (item.type !== 'Container') continue
    item.default = { ...item.max, ...item.default }
    item.defaultRequest = { ...item.min, ...item.default, ...item.defaultRequest }
    for (const list of ['default', 'defaultRequest'] as const)
      if (Object.keys(item[list] ?? {}).length === 0) delete item[list]
  }
}

function validate(range: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const seen = new Set<string>()
  itemsOf(range).forEach((item, i) => {
    const at = `spec.limits[${i}]`
    const type = item.type ?? ''
    const messages = qualifiedName(type)
    invalidEach(errors, `${at}.type`, type, messages)
    if (messages.length === 0 && !type.includes('/') && !TYPES.includes(type))
      errors.push(fieldError.invalid(`${at}.type`, type, 'must be a standard limit type or fully qualified'))
    if (seen.has(type)) errors.push(fieldError.duplicate(`${at}.type`, type))
    seen.add(type)
    validateItem(item, at, errors)
  })
  return errors
}

type Amounts = { [list in List]?: Quantity }

function validateItem(item: LimitRangeItem, at: string, errors: FieldError[]): void {
  const byName = new Map<string, Amounts>()
  for (const list of LISTS) {
    const amounts = item[list] ?? {}
    if (item.type === 'Pod' && (list === 'default' || list === 'defaultRequest')) {
      if (Object.keys(amounts).length > 0)
        errors.push(fieldError.forbidden(`${at}.${list}`, "may not be specified when `type` is 'Pod'"))
      continue
    }
    for (const name in amounts) {
      const path = `${at}.${list}[${name}]`
      const check = item.type === 'Pod' || item.type === 'Container' ? containerResourceName : resourceName
      check(name, path, errors)
      const quantity = readQuantity(amounts[name]!, path, errors)
      if (quantity !== undefined) byName.set(name, { ...byName.get(name), [list]: quantity })
    }
  }
  if (item.type === 'PersistentVolumeClaim' && item.min?.['storage'] == null && item.max?.['storage'] == null)
    errors.push(
      fieldError.required(
        `${at}.limits`,
        'either minimum or maximum storage value is required, but neither was provided',
      ),
    )
  for (const [name, amounts] of byName) validateOrder(name, amounts, at, errors)
}

/** Pairs of which the first may not be above the second; the error is at `at` and shows `shown`. */
const ORDER: readonly { low: List; high: List; at: List; shown: List; text: (low: string, high: string) => string }[] =
  [
    {
      low: 'min',
      high: 'max',
      at: 'min',
      shown: 'min',
      text: (l, h) => `min value ${l} is greater than max value ${h}`,
    },
    {
      low: 'min',
      high: 'defaultRequest',
      at: 'defaultRequest',
      shown: 'defaultRequest',
      text: (l, h) => `min value ${l} is greater than default request value ${h}`,
    },
    {
      low: 'defaultRequest',
      high: 'max',
      at: 'defaultRequest',
      shown: 'defaultRequest',
      text: (l, h) => `default request value ${l} is greater than max value ${h}`,
    },
    {
      low: 'defaultRequest',
      high: 'default',
      at: 'defaultRequest',
      shown: 'defaultRequest',
      text: (l, h) => `default request value ${l} is greater than default limit value ${h}`,
    },
    {
      low: 'min',
      high: 'default',
      at: 'default',
      shown: 'min',
      text: (l, h) => `min value ${l} is greater than default value ${h}`,
    },
    {
      low: 'default',
      high: 'max',
      at: 'default',
      shown: 'max',
      text: (l, h) => `default value ${l} is greater than max value ${h}`,
    },
  ]

function validateOrder(name: string, amounts: Amounts, at: string, errors: FieldError[]): void {
  for (const rule of ORDER) {
    const low = amounts[rule.low]
    const high = amounts[rule.high]
    if (low !== undefined && high !== undefined && compareQuantity(low, high) > 0)
      errors.push(
        fieldError.invalid(`${at}.${rule.at}[${name}]`, amounts[rule.shown]!.text, rule.text(low.text, high.text)),
      )
  }
  validateRatio(name, amounts, at, errors)
  const { default: limit, defaultRequest: request } = amounts
  if (!isOvercommitAllowed(name) && limit !== undefined && request !== undefined && limit.nanos !== request.nanos)
    errors.push(
      fieldError.invalid(
        `${at}.defaultRequest[${name}]`,
        request.text,
        `default value ${limit.text} must equal to defaultRequest value ${request.text} in ${name}`,
      ),
    )
}

function validateRatio(name: string, amounts: Amounts, at: string, errors: FieldError[]): void {
  const { maxLimitRequestRatio: ratio, min, max } = amounts
  if (ratio === undefined) return
  const path = `${at}.maxLimitRequestRatio[${name}]`
  if (compareQuantity(ratio, quantityOf(1)) < 0)
    errors.push(fieldError.invalid(path, ratio.text, `ratio ${ratio.text} is less than 1`))
  if (min === undefined || max === undefined) return
  const small = [ratio, min, max].every((q) => quantityValue(q) < MAX_MILLI_VALUE)
  const value = small ? Number(quantityMilliValue(ratio)) / 1000 : Number(quantityValue(ratio))
  const amount = small ? quantityMilliValue : quantityValue
  const limit = Number(amount(max)) / Number(amount(min))
  if (value > limit)
    errors.push(
      fieldError.invalid(path, ratio.text, `ratio ${ratio.text} is greater than max/min = ${limit.toFixed(6)}`),
    )
}

export const limitRangeKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'LimitRange',
  plural: 'limitranges',
  singular: 'limitrange',
  shortNames: ['limits'],
  namespaced: true,
  schema: 'io.k8s.api.core.v1.LimitRange',
  columns: [],
  strategy: { allowCreateOnUpdate: true, defaults, validate: onCreate(validate), validateUpdate: validate },
}
