/** Installs the packages of the lab, and what only its tests use. */
import { findProgram, installPackages } from '../../src/cli/packages.ts'
import { findMissing } from '../../src/lab/index.ts'

const missing = [...findMissing(), ...(findProgram('ping') === undefined ? ['iputils-ping'] : [])]
if (missing.length > 0) await installPackages(missing)
