import { type ControlAnswer, type ControlRequest, controlRequest } from '../control-plane/control-socket.ts'
import { type ClusterPaths, runningControlPlane } from './cluster.ts'
import { CliError } from './error.ts'

/** Asks the running control plane over its socket. Throws CliError when it does not run, or with what it refuses. */
export async function askControlPlane(
  paths: ClusterPaths,
  request: ControlRequest,
  onProgress?: (value: ControlAnswer) => void,
): Promise<ControlAnswer> {
  if (runningControlPlane(paths) === undefined)
    throw new CliError(`the control plane of ${paths.name} does not run: start it with "rampart up"`)
  try {
    return await controlRequest(paths.directory, request, onProgress)
  } catch (error) {
    throw new CliError((error as Error).message)
  }
}
