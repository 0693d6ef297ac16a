export { discardUnreadable } from './discard.ts'
export { forgetKeys } from './forget-keys.ts'
export { type RewriteOptions, type RewriteProgress, rewriteStale, type Unreadable } from './rewrite.ts'
export { type KeyUsage, type Survey, survey } from './survey.ts'
