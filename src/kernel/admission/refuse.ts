import { type ApiError, forbidden } from '../api/status.ts'
import type { AdmissionRequest } from './types.ts'

/** 403 about the object of the request (admission.NewForbidden); before it has a name, about its generateName. */
export function refuse(request: AdmissionRequest, why: string): ApiError {
  const { group, plural } = request.definition
  const name = request.name || request.object?.metadata.generateName || 'Unknown'
  return forbidden(group, plural, name, why)
}
