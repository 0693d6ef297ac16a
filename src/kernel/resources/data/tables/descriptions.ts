/** Short descriptions for `kubectl explain`, in our own words. */

/** By definition, as `core.v1.Pod`. */
export const DESCRIPTIONS: Readonly<Record<string, string>> = {}

/** By field, as `core.v1.PodSpec.containers`; a bare name serves every field of that name that has none of its own. */
export const FIELD_DESCRIPTIONS: Readonly<Record<string, string>> = {}
