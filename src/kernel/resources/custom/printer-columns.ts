import type { KubeObject } from '../../api/object.ts'
import type { TableColumn } from '../definition.ts'
import { ageCell, nameColumn, translateTimestampSince } from '../printing.ts'
import { evaluateJsonPath, type JsonPath, parseJsonPath } from './json-path.ts'

/** spec.versions[].additionalPrinterColumns[]. */
export type PrinterColumn = {
  name: string
  type: string
  format?: string
  description?: string
  priority?: number
  jsonPath: string
}

export const COLUMN_TYPES: readonly string[] = ['boolean', 'date', 'integer', 'number', 'string']
export const COLUMN_FORMATS: readonly string[] = [
  'binary',
  'byte',
  'date',
  'date-time',
  'double',
  'float',
  'int32',
  'int64',
  'password',
]

type Cell = string | number | boolean | null
type Printer = (value: unknown, now: number) => Cell

const PRINTERS: Readonly<Record<string, Printer>> = {
  integer: (value) => (typeof value === 'number' ? Math.trunc(value) : null),
  number: (value) => (typeof value === 'number' ? value : null),
  boolean: (value) => (typeof value === 'boolean' ? value : null),
  string: (value) => (typeof value === 'string' ? value : value === null ? null : JSON.stringify(value)),
  date: (value, now) => {
    if (typeof value !== 'string') return null
    return Number.isNaN(Date.parse(value)) ? '<invalid>' : translateTimestampSince(value, now)
  },
}

const age: TableColumn = {
  name: 'Age',
  type: 'date',
  format: '',
  description: 'Time since the object was created, by the clock of the server.',
  priority: 0,
  cell: ageCell,
}

function tableColumn(column: PrinterColumn): TableColumn {
  const print = PRINTERS[column.type] ?? (() => null)
  // A column whose path cannot be read stays empty, as in Kubernetes: the definition has been accepted.
  let path: JsonPath | undefined
  try {
    path = parseJsonPath(column.jsonPath)
  } catch {
    path = undefined
  }
  return {
    name: column.name,
    type: column.type as TableColumn['type'],
    format: (column.format ?? '') as NonNullable<TableColumn['format']>,
    description: column.description ?? `Custom resource definition column (in JSONPath format): ${column.jsonPath}`,
    priority: column.priority ?? 0,
    cell: (object: KubeObject, now: number): Cell => {
      if (path === undefined) return null
      const [value] = evaluateJsonPath(path, object)
      return value === undefined ? null : print(value, now)
    },
  }
}

/** Name first; Age when the definition names no columns. */
export function customColumns(columns: readonly PrinterColumn[] | undefined): readonly TableColumn[] {
  return [nameColumn, ...(columns?.length ? columns.map(tableColumn) : [age])]
}
