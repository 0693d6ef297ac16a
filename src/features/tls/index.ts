export { PkiError } from './authorities.ts'
export {
  CertificateRequestError,
  type ParsedCertificateRequest,
  parseCertificateRequest,
} from './certificate-request.ts'
export { awaitsSignature, type CertificateSigningOptions, certificateSigning } from './certificate-signing.ts'
export { ControlPlanePki, type ControlPlanePkiOptions, type IntermediateName } from './control-plane-pki.ts'
export { type KubeconfigOptions, kubeconfig } from './kubeconfig.ts'
export { type Revocations, watchRevocations } from './revocation.ts'
export { type SigningRequest, type SigningResult, signCertificateRequest } from './sign-request.ts'
export { isSignerName, SIGNERS, signerRefusal } from './signers.ts'
