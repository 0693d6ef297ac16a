export { ensureImages, type ImportTarget, importImages, localTarget, sshTarget } from './image/import.ts'
export { fullImageName, type OciImage, ociArchive } from './image/oci-image.ts'
export { BUSYBOX_IMAGE, smallImages } from './image/small-images.ts'
export { type ImageSource, openImageSource } from './image/source.ts'
export {
  createLab,
  insideNetns,
  type Lab,
  type LabMachine,
  type LabOptions,
  type LabUpOptions,
  spawnInside,
} from './lab.ts'
export { CONTAINERD_SOCKET, PAUSE_IMAGE } from './machine-files.ts'
export { findMissing, LAB_PACKAGES } from './packages.ts'
