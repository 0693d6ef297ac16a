import { type ApiError, forbidden } from '../api/status.ts'
import type { AdmissionRequest } from './types.ts'

/** 403 as Kubernetes' admission plug-ins word it (apiserver/pkg/admission: NewForbidden). */
export function refusal(request: AdmissionRequest, why: string): ApiError {
  const { group, plural } = request.definition
  return forbidden(group, plural, objectName(request), why)
}

function objectName({ name, object }: AdmissionRequest): string {
  return name || object?.metadata.name || object?.metadata.generateName || 'Unknown'
}
