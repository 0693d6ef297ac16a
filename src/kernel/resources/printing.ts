import type { KubeObject } from '../api/object.ts'
import type { LabelSelector } from '../api/selectors.ts'
import type { TableColumn } from './definition.ts'

/** How Kubernetes prints durations, labels and selectors in tables. */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const whole = (milliseconds: number, unit: number): number => Math.trunc(milliseconds / unit)
/** `5m12s`, and `5m` where the smaller unit is zero. */
const pair = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`

/** k8s.io/apimachinery/pkg/util/duration.HumanDuration; clocks may differ by up to two seconds. */
export function humanDuration(milliseconds: number): string {
  const seconds = whole(milliseconds, SECOND)
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  if (seconds < 2 * 60) return `${seconds}s`
  const minutes = whole(milliseconds, MINUTE)
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's')
  if (minutes < 3 * 60) return `${minutes}m`
  const hours = whole(milliseconds, HOUR)
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  const days = Math.trunc(hours / 24)
  if (hours < 8 * 24) return pair(days, 'd', hours % 24, 'h')
  if (days < 2 * 365) return `${days}d`
  const years = Math.trunc(days / 365)
  return days < 8 * 365 ? pair(years, 'y', days % 365, 'd') : `${years}y`
}

/** Time since an RFC 3339 timestamp; `<unknown>` without one. `now` is milliseconds since the epoch. */
export function translateTimestampSince(timestamp: string | null | undefined, now: number): string {
  const since = timestamp ? Date.parse(timestamp) : Number.NaN
  return Number.isNaN(since) ? '<unknown>' : humanDuration(now - since)
}

/** Time until an RFC 3339 timestamp; `<unknown>` without one. */
export function translateTimestampUntil(timestamp: string | null | undefined, now: number): string {
  const until = timestamp ? Date.parse(timestamp) : Number.NaN
  return Number.isNaN(until) ? '<unknown>' : humanDuration(until - now)
}

export function ageCell(object: KubeObject, now: number): string {
  return translateTimestampSince(object.metadata?.creationTimestamp, now)
}

/** `a=b,c=d` in the order of the keys; `<none>` when there are none. */
export function formatLabels(labels: Readonly<Record<string, string>> | null | undefined): string {
  const text = Object.keys(labels ?? {})
    .sort()
    .map((key) => `${key}=${labels![key]}`)
    .join(',')
  return text === '' ? '<none>' : text
}

const EXPRESSION: Readonly<Record<string, (key: string, values: string) => string>> = {
  In: (key, values) => `${key} in (${values})`,
  NotIn: (key, values) => `${key} notin (${values})`,
  Exists: (key) => key,
  DoesNotExist: (key) => `!${key}`,
}

/** metav1.FormatLabelSelector; `<none>` for the empty and the missing selector, `<error>` for a broken one. */
export function formatLabelSelector(selector: LabelSelector | null | undefined): string {
  const terms = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => ({ key, text: `${key}=${value}` }))
  for (const { key, operator, values } of selector?.matchExpressions ?? []) {
    const format = EXPRESSION[operator]
    if (format === undefined) return '<error>'
    terms.push({ key, text: format(key, [...(values ?? [])].sort().join(',')) })
  }
  terms.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  return terms.length === 0 ? '<none>' : terms.map((t) => t.text).join(',')
}

/** A column of strings; 'priority' 1 shows it only with -o wide. */
export function column(
  name: string,
  type: TableColumn['type'],
  description: string,
  cell: TableColumn['cell'],
  priority = 0,
): TableColumn {
  return { name, type, format: '', description, priority, cell }
}

export const nameColumn: TableColumn = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name of the object, unique among its kind (and in its namespace); it cannot be changed.',
  priority: 0,
  cell: (object) => object.metadata?.name ?? '',
}

export const ageColumn: TableColumn = column(
  'Age',
  'string',
  'Time since the object was created, by the clock of the server.',
  ageCell,
)
