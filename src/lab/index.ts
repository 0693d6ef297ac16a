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
export { LAB_PACKAGES } from './packages.ts'
