export { PkiError } from './authorities.ts'
export {
  CertificateRequestError,
  type ParsedCertificateRequest,
  parseCertificateRequest,
} from './certificate-request.ts'
export { awaitsSignature, type CertificateSigningOptions, certificateSigning } from './certificate-signing.ts'
export {
  ControlPlanePki,
  type ControlPlanePkiOptions,
  type IntermediateName,
  type LeafName,
  type PkiChange,
} from './control-plane-pki.ts'
export { type CertificateText, describeCertificate, issuerKeyId, serialName } from './describe.ts'
export { tls } from './feature.ts'
export {
  generationFolder,
  parseRotationState,
  RotationError,
  type RotationPhase,
  type RotationState,
  readRotationState,
} from './generations.ts'
export { type CertificateState, type InventoryItem, inventory } from './inventory.ts'
export { certificateRevocation, ownCertificateRecords } from './issued/controllers.ts'
export { ISSUED_CERTIFICATES, type IssuedCertificateSpec, specOf as issuedCertificateSpec } from './issued/kind.ts'
export { CONTROL_PLANE_SIGNER, recordIssued, recordText } from './issued/record.ts'
export { type KubeconfigOptions, kubeconfig } from './kubeconfig.ts'
export * from './links/index.ts'
export { type Blocker, retireBlockers, signBlockers } from './readiness.ts'
export { type RequestContent, writeCertificateRequest } from './request-writer.ts'
export { type Revocations, watchRevocations } from './revocation.ts'
export { type SigningRequest, type SigningResult, signCertificateRequest } from './sign-request.ts'
export { isSignerName, SIGNERS, signerRefusal } from './signers.ts'
export {
  AGENT_ANNOTATION,
  type AgentReport,
  agentReport,
  bundleFingerprints,
  type ClusterTrust,
  CONFIG_MAPS as TRUST_RESOURCE,
  parseTrust,
  TRUST_NAME,
  TRUST_NAMESPACE,
} from './trust/bundle.ts'
export { clusterTrust, renewMachinesIssuedBefore } from './trust/publish.ts'
