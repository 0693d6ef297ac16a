export type Severity = 'high' | 'medium' | 'low'

/** A secret within a text; `start` and `end` are offsets of UTF-16 units. */
export type Detection = {
  rule: string
  severity: Severity
  /** What it is, as the end of a sentence: `a GitHub token`. Never any of its characters. */
  what: string
  start: number
  end: number
}

/** Keys and indexes from the object's root to the value. */
export type FieldPath = readonly (string | number)[]

/** Where a leak stands, as far as the way out depends on it. */
export type Site =
  | { kind: 'env'; container: FieldPath; variable: string }
  | { kind: 'argument'; container: FieldPath /** Flag or variable before it. */; name: string }
  | { kind: 'config-map'; key: string /** The value is the secret and nothing else. */; whole: boolean }
  | { kind: 'secret-manifest' }
  | { kind: 'header' }
  | { kind: 'annotation' }
  | { kind: 'other' }

/** A detection at its place. Holds the text itself: it stays within the engine and never reaches output. */
export type Leak = Detection & {
  path: FieldPath
  /** The whole scalar at `path`. */
  text: string
  /** Key within a document that the scalar holds: `spring.datasource.password`. */
  within?: string
  site: Site
}

export type ObjectIdentity = { apiVersion: string; kind: string; namespace?: string; name: string }

export type Replacement = {
  secret: { name: string; namespace?: string; key: string }
  /** The Secret, with the value left out, and how to use it. */
  yaml: string
  /** `--fix` can do it. */
  automatic: boolean
}

export type Finding = {
  rule: string
  severity: Severity
  object: ObjectIdentity
  field: string
  file?: string
  line?: number
  message: string
  masked: string
  hint: string
  replacement?: Replacement
}

/** A variable of a container that takes its value from a key of a Secret. */
export type SecretVariable = { name: string; secret: string; key: string }
