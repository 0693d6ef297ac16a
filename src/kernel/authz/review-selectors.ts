import { type FieldRequirement, parseFieldSelector, parseLabelSelector } from '../api/selectors.ts'

type Requirement = { key?: string; operator?: string; values?: readonly string[] | null }
/** authorization.k8s.io/v1 FieldSelectorAttributes and LabelSelectorAttributes (KEP-4601). */
export type SelectorAttributes = { rawSelector?: string; requirements?: readonly Requirement[] | null }

/** What could be read of the selectors that a review asks about. */
export type ReviewedSelectors = {
  fieldSelector?: readonly FieldRequirement[]
  /** For `status.evaluationError`: what was left out asks a broader question, which is safe. */
  problems: string[]
}

/** Field selectors know one value, equal or not: other requirements are left out (ResourceAttributesFrom). */
export function reviewedSelectors(
  field: SelectorAttributes | null | undefined,
  label: SelectorAttributes | null | undefined,
): ReviewedSelectors {
  const problems: string[] = []
  const { requirements, broken } = readFields(field ?? {})
  const what = (name: string, partly: boolean): string =>
    `spec.resourceAttributes.${name} ${partly ? 'partially ' : ''}ignored due to parse error`
  if (broken) problems.push(what('fieldSelector', requirements.length > 0))
  if (label?.rawSelector && !isReadable(() => parseLabelSelector(label.rawSelector!)))
    problems.push(what('labelSelector', false))
  return { ...(requirements.length === 0 ? {} : { fieldSelector: requirements }), problems }
}

function readFields({ rawSelector = '', requirements }: SelectorAttributes): {
  requirements: FieldRequirement[]
  broken: boolean
} {
  if (rawSelector !== '') {
    let parsed: FieldRequirement[] = []
    const broken = !isReadable(() => (parsed = parseFieldSelector(rawSelector)))
    return { requirements: parsed, broken }
  }
  const wanted = requirements ?? []
  const read = wanted.flatMap(({ key = '', operator, values }) =>
    values?.length === 1 && (operator === 'In' || operator === 'NotIn')
      ? [{ field: key, equal: operator === 'In', value: values[0]! }]
      : [],
  )
  return { requirements: read, broken: read.length < wanted.length }
}

/** A selector that cannot be read is no error of the review: its status tells. */
function isReadable(parse: () => unknown): boolean {
  try {
    parse()
    return true
  } catch {
    return false
  }
}

/** The form in which a webhook is asked about the selector of a request. */
export function fieldSelectorAttributes(selector: readonly FieldRequirement[]): {
  requirements: { key: string; operator: 'In' | 'NotIn'; values: string[] }[]
} {
  return {
    requirements: selector.map(({ field, equal, value }) => ({
      key: field,
      operator: equal ? 'In' : 'NotIn',
      values: [value],
    })),
  }
}
