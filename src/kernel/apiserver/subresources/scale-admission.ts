import type { KubeObject } from '../../api/object.ts'
import type { ApiCore, Caller, WriteParameters } from '../core.ts'
import type { Kind } from '../kind.ts'
import { admissionRequest } from '../verbs/admission-request.ts'
import { scaleOf } from './scale.ts'

export const SCALE = { group: 'autoscaling', version: 'v1', kind: 'Scale' } as const

export type ScaleAdmission = {
  /** The Scale as mutating admission wants it. */
  mutate: (scale: KubeObject, old: KubeObject) => Promise<KubeObject>
  /** Validating admission, by the Scales of the object that will be stored and of the stored one. */
  validate: (object: KubeObject, old: KubeObject) => void | Promise<void>
}

/** A write to /scale as admission sees it: an UPDATE from one autoscaling/v1 Scale to another. */
export function scaleAdmission(
  core: ApiCore,
  kind: Kind,
  namespace: string,
  name: string,
  parameters: WriteParameters,
  caller: Caller,
): ScaleAdmission {
  const requestFor = (object: KubeObject, oldObject: KubeObject): ReturnType<typeof admissionRequest> =>
    admissionRequest(
      'UPDATE',
      kind,
      { subresource: 'scale', kind: SCALE, namespace, name, object, oldObject },
      parameters,
      caller,
    )
  return {
    mutate: async (scale, old) => {
      const request = requestFor(scale, old)
      await core.admission.mutate(request)
      return request.object!
    },
    validate: (object, old) => core.admission.validate(requestFor(scaleOf(kind, object), scaleOf(kind, old))),
  }
}
