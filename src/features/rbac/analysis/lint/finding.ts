import type { ObjectRef } from '../describe.ts'
import type { ChainStep } from '../escalation/chain-steps.ts'

export const SEVERITIES = ['low', 'medium', 'high', 'critical'] as const
export type Severity = (typeof SEVERITIES)[number]

export const severityRank = (severity: Severity): number => SEVERITIES.indexOf(severity)

/** One step less, `low` at least. */
export const lowered = (severity: Severity): Severity => SEVERITIES[Math.max(0, severityRank(severity) - 1)]!

export type Finding = {
  /** Id of the rule, as annotations name it. */
  rule: string
  severity: Severity
  object: ObjectRef
  /** `file:line` of the object. */
  at?: string
  /** Which of the role's rules, counted from 0. */
  rules?: number[]
  /** Whom it is about, when the object names several. */
  subject?: string
  what: string
  /** What an attacker does with it. */
  attack: string
  /** The smallest change that mends it. */
  fix: string
  chain?: ChainStep[]
}
