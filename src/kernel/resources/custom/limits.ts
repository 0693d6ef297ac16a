/**
 * What a CustomResourceDefinition may cost. Kubernetes itself only bounds the size of a request; these bounds keep one
 * definition, or one object of its kind, from occupying the server.
 */

/** Nesting of a schema. Each level of an object needs one level of schema. */
export const MAX_SCHEMA_DEPTH = 128
/** Schemas inside one version's schema, itself included. */
export const MAX_SCHEMA_NODES = 50_000
/** Bytes of one regular expression. */
export const MAX_PATTERN_BYTES = 10_000
/** Instructions of one compiled regular expression. */
export const MAX_PATTERN_INSTRUCTIONS = 20_000
/** Instructions times characters that matching one value may take. */
export const MAX_PATTERN_STEPS = 50_000_000
/** Pairs of a schema and a value that validating one object may visit. */
export const MAX_VALIDATION_VISITS = 5_000_000
/** Errors after which validation of one object stops. */
export const MAX_ERRORS = 200
/** selectableFields of one version (Kubernetes 1.32). */
export const MAX_SELECTABLE_FIELDS = 8
/** Steps of one x-kubernetes-validations rule: expressions evaluated, and a share of the size of what they compare. */
export const MAX_RULE_STEPS = 200_000
/** Steps of all rules for one object. */
export const MAX_OBJECT_RULE_STEPS = 1_000_000
/** What one rule for all values in an object, and all rules of a schema, may cost by estimate (Kubernetes). */
export const MAX_ESTIMATED_RULE_COST = 10_000_000
export const MAX_ESTIMATED_SCHEMA_COST = 100_000_000
/** Bytes of one rule. */
export const MAX_RULE_BYTES: number = 32 * 1024
/** Bytes that a messageExpression may produce (Kubernetes). */
export const MAX_MESSAGE_BYTES: number = 5 * 1024
/** Steps of all match conditions of a webhook for one request: Kubernetes too gives them a quarter of 10 million. */
export const MAX_MATCH_CONDITION_STEPS = 500_000
/** Steps of one authorization check: Kubernetes lets an expression of a million units make two (350,000 each). */
export const AUTHORIZATION_CHECK_STEPS = 70_000
