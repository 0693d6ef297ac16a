import type { Json, KubeObject } from '../../api/object.ts'
import { badRequest } from '../../api/status.ts'
import { applyJsonPatch } from '../../merge/json-patch.ts'
import { applyMergePatch } from '../../merge/merge-patch.ts'

/** A Scale has no lists: strategic and merge patch mean the same for it. */
export function patchScale(type: 'json' | 'merge' | 'strategic', scale: KubeObject, body: Json): KubeObject {
  const patched = type === 'json' ? applyJsonPatch(scale as Json, body) : applyMergePatch(scale as Json, body)
  if (patched === null || typeof patched !== 'object' || Array.isArray(patched))
    throw badRequest('the patched document is not an object')
  return patched as KubeObject
}
