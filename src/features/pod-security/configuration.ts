import { dns1123Label, dns1123Subdomain } from '../../kernel/resources/validation/names.ts'
import { type ConfigurationDocument, type DocumentPath, readDocument } from './document.ts'
import { isLevel, LEVEL_RULE, MODES, type Policy, parseVersion, VERSION_RULE } from './engine/levels.ts'

/** pod-security.admission.config.k8s.io PodSecurityConfiguration, with its defaults filled in. */
export type PodSecurityConfiguration = {
  /** Of namespaces without labels. */
  defaults: Policy
  exemptions: {
    usernames: ReadonlySet<string>
    namespaces: ReadonlySet<string>
    runtimeClasses: ReadonlySet<string>
  }
}

const GROUP = 'pod-security.admission.config.k8s.io'
const VERSIONS = ['v1', 'v1beta1', 'v1alpha1'].map((version) => `${GROUP}/${version}`)
const WRAPPER_VERSIONS = ['apiserver.config.k8s.io/v1', 'apiserver.k8s.io/v1alpha1']
const PLUGIN = 'PodSecurity'

/** Reads a file that another names; throws when it cannot be read or is too large. */
export type ReadFile = (path: string) => string

/**
 * The configuration in `text`, which is a PodSecurityConfiguration or an AdmissionConfiguration that holds or names
 * one; an empty text and one without this plugin give the defaults. `file` stands in errors. Throws
 * PodSecurityConfigurationError with line and field of everything that is wrong.
 */
export function parsePodSecurityConfiguration(text: string, file: string, read: ReadFile): PodSecurityConfiguration {
  if (text.trim() === '') return PRIVILEGED_CONFIGURATION
  const document = readDocument(text, file)
  const [apiVersion, kind] = [document.at(['apiVersion']), document.at(['kind'])]
  if (kind !== 'AdmissionConfiguration') return finish(document, () => parseConfiguration(document, []))
  return finish(document, () => {
    if (!WRAPPER_VERSIONS.includes(apiVersion as string))
      document.wrong(['apiVersion'], `must be ${WRAPPER_VERSIONS[0]} for an AdmissionConfiguration`)
    return parseWrapper(document, read)
  })
}

/** What holds without a file: nothing is enforced, audited or warned of until a namespace's labels ask for it. */
export const PRIVILEGED_CONFIGURATION: PodSecurityConfiguration = {
  defaults: {
    enforce: { level: 'privileged', version: 'latest' },
    audit: { level: 'privileged', version: 'latest' },
    warn: { level: 'privileged', version: 'latest' },
  },
  exemptions: { usernames: new Set(), namespaces: new Set(), runtimeClasses: new Set() },
}

function finish(document: ConfigurationDocument, parse: () => PodSecurityConfiguration): PodSecurityConfiguration {
  const configuration = parse()
  document.finish()
  return configuration
}

function parseWrapper(document: ConfigurationDocument, read: ReadFile): PodSecurityConfiguration {
  document.fields([], ['apiVersion', 'kind', 'plugins'])
  let found: PodSecurityConfiguration | undefined
  for (const i of document.list(['plugins']).keys()) {
    const plugin: DocumentPath = ['plugins', i]
    document.fields(plugin, ['name', 'path', 'configuration'])
    if (document.at([...plugin, 'name']) !== PLUGIN) continue
    if (found !== undefined) {
      document.wrong(plugin, `configures ${PLUGIN} a second time`)
      continue
    }
    found = parsePlugin(document, plugin, read)
  }
  return found ?? PRIVILEGED_CONFIGURATION
}

function parsePlugin(document: ConfigurationDocument, plugin: DocumentPath, read: ReadFile): PodSecurityConfiguration {
  const path = document.text([...plugin, 'path'])
  if (document.at([...plugin, 'configuration']) != null) {
    if (path !== '') document.wrong([...plugin, 'path'], 'cannot stand beside configuration')
    return parseConfiguration(document, [...plugin, 'configuration'])
  }
  if (path === '') return PRIVILEGED_CONFIGURATION
  const text = read(path)
  if (text.trim() === '') return PRIVILEGED_CONFIGURATION
  const named = readDocument(text, path)
  return finish(named, () => parseConfiguration(named, []))
}

function parseConfiguration(document: ConfigurationDocument, root: DocumentPath): PodSecurityConfiguration {
  if (document.at([...root, 'kind']) !== 'PodSecurityConfiguration')
    document.wrong([...root, 'kind'], 'must be PodSecurityConfiguration')
  if (!VERSIONS.includes(document.at([...root, 'apiVersion']) as string))
    document.wrong([...root, 'apiVersion'], `must be ${VERSIONS[0]}`)
  document.fields(root, ['apiVersion', 'kind', 'defaults', 'exemptions'])
  return {
    defaults: parseDefaults(document, [...root, 'defaults']),
    exemptions: parseExemptions(document, [...root, 'exemptions']),
  }
}

function parseDefaults(document: ConfigurationDocument, at: DocumentPath): Policy {
  document.fields(
    at,
    MODES.flatMap((mode) => [mode, `${mode}-version`]),
  )
  const entries = MODES.map((mode) => {
    const level = document.text([...at, mode]) || 'privileged'
    if (!isLevel(level)) document.invalid([...at, mode], level, LEVEL_RULE)
    const versionText = document.text([...at, `${mode}-version`]) || 'latest'
    const version = parseVersion(versionText)
    if (version === undefined) document.invalid([...at, `${mode}-version`], versionText, VERSION_RULE)
    return [mode, { level, version: version ?? 'latest' }]
  })
  return Object.fromEntries(entries) as Policy
}

function parseExemptions(document: ConfigurationDocument, at: DocumentPath): PodSecurityConfiguration['exemptions'] {
  document.fields(at, ['usernames', 'namespaces', 'runtimeClasses'])
  const names = (field: string, validate: (name: string) => string[]): ReadonlySet<string> => {
    const seen = new Set<string>()
    for (const i of document.list([...at, field]).keys()) {
      const path = [...at, field, i]
      const name = document.text(path)
      const problems = validate(name)
      if (problems.length > 0) document.invalid(path, name, problems.join(', '))
      else if (seen.has(name)) document.wrong(path, `Duplicate value: ${JSON.stringify(name)}`)
      seen.add(name)
    }
    return seen
  }
  return {
    usernames: names('usernames', (name) => (name === '' ? ['must not be empty'] : [])),
    namespaces: names('namespaces', dns1123Label),
    runtimeClasses: names('runtimeClasses', dns1123Subdomain),
  }
}
