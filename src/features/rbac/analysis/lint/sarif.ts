import { refText } from '../describe.ts'
import type { Finding, Severity } from './finding.ts'

const LEVEL: Readonly<Record<Severity, string>> = { critical: 'error', high: 'error', medium: 'warning', low: 'note' }
/** GitHub's `security-severity`, a CVSS-like number. */
const SCORE: Readonly<Record<Severity, string>> = { critical: '9.5', high: '8.0', medium: '5.5', low: '2.0' }

/** SARIF 2.1.0 (OASIS), one run. Live findings have a logical location only. */
export function sarif(findings: readonly Finding[]): object {
  const rules = new Map<string, object>()
  for (const { rule, severity, attack, fix } of findings)
    if (!rules.has(rule))
      rules.set(rule, {
        id: rule,
        shortDescription: { text: rule },
        ...(rule === 'escalation-chain' ? {} : { fullDescription: { text: attack }, help: { text: fix } }),
        defaultConfiguration: { level: LEVEL[severity] },
        properties: { 'security-severity': SCORE[severity], tags: ['security', 'rbac'] },
      })
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'rampart rbac lint', rules: [...rules.values()] } },
        results: findings.map((finding) => ({
          ruleId: finding.rule,
          level: LEVEL[finding.severity],
          message: {
            text: `${refText(finding.object)}: ${finding.what}. Attack: ${finding.attack}. Fix: ${finding.fix}.`,
          },
          locations: [location(finding)],
        })),
      },
    ],
  }
}

function location({ object, at }: Finding): object {
  const logicalLocations = [{ fullyQualifiedName: refText(object), kind: 'object' }]
  const match = /^(.*):(\d+)$/s.exec(at ?? '')
  if (match === null) return { logicalLocations }
  return {
    physicalLocation: { artifactLocation: { uri: encodeURI(match[1]!) }, region: { startLine: Number(match[2]) } },
    logicalLocations,
  }
}
