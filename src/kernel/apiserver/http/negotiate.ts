import { ApiError } from '../../api/status.ts'

/** What the client wants back (k8s.io/apiserver/pkg/endpoints/handlers/negotiation). */
export type Form = 'object' | 'table' | 'partial'
export type Accepted = {
  form: Form
  media: 'json' | 'yaml'
  metaVersion: 'v1' | 'v1beta1'
  /** PartialObjectMetadataList was asked for, which only lists are. */
  ofList?: boolean
}

const PLAIN: Accepted = { form: 'object', media: 'json', metaVersion: 'v1' }
const cache = new Map<string, Accepted | ApiError>()

const EVERY_FORM: readonly Form[] = ['object', 'table', 'partial']

/**
 * Clauses are tried in the order of their q values; what cannot be served (protobuf, forms that this request does not
 * have) is passed over. Throws NotAcceptable when nothing is left.
 */
export function negotiate(accept: string | undefined, forms: readonly Form[] = EVERY_FORM): Accepted {
  if (accept === undefined || accept === '' || accept === '*/*' || accept === 'application/json') return PLAIN
  if (forms !== EVERY_FORM) return served(choose(accept, forms))
  let result = cache.get(accept)
  if (result === undefined) {
    result = choose(accept, forms)
    if (cache.size < 1000) cache.set(accept, result)
  }
  return served(result)
}

function served(result: Accepted | ApiError): Accepted {
  if (result instanceof ApiError) throw result
  return result
}

type Clause = { media: string; parameters: Map<string, string>; q: number }

export function parseAccept(accept: string): Clause[] {
  const clauses = accept.split(',').map((part): Clause => {
    const [media = '', ...rest] = part.split(';').map((s) => s.trim())
    const parameters = new Map(rest.map((p) => [p.split('=', 1)[0]!.toLowerCase(), p.slice(p.indexOf('=') + 1)]))
    const q = Number(parameters.get('q') ?? '1')
    return { media: media.toLowerCase(), parameters, q: Number.isFinite(q) ? q : 1 }
  })
  return clauses.filter((c) => c.q > 0).sort((a, b) => b.q - a.q)
}

function choose(accept: string, forms: readonly Form[]): Accepted | ApiError {
  for (const { media, parameters } of parseAccept(accept)) {
    const isJson = media === 'application/json' || media === '*/*' || media === 'application/*'
    const isYaml = media === 'application/yaml'
    if (!isJson && !isYaml) continue
    const as = parameters.get('as')
    const answer = isYaml ? 'yaml' : 'json'
    if (as === undefined) {
      if (forms.includes('object')) return { form: 'object', media: answer, metaVersion: 'v1' }
      continue
    }
    const form = FORMS[as]
    const metaVersion = parameters.get('v')
    if (form === undefined || !forms.includes(form) || parameters.get('g') !== 'meta.k8s.io') continue
    if (metaVersion !== 'v1' && metaVersion !== 'v1beta1') continue
    return { form, media: answer, metaVersion, ofList: as === 'PartialObjectMetadataList' }
  }
  return new ApiError(
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/yaml',
  )
}

const FORMS: Record<string, Form | undefined> = {
  Table: 'table',
  PartialObjectMetadata: 'partial',
  PartialObjectMetadataList: 'partial',
}
