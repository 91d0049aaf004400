import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Finding } from '../api/backend.ts'
import type { Config } from '../config/schema.ts'
import { systemReason } from '../lib/system-error.ts'
import { failure, ok, warning } from './finding.ts'

/** Enough to have a new one signed and brought to every machine. */
const WARN_MS = 30 * 24 * 3_600_000

/** The certificates of the daemon as they lie there now: whoever forgets to renew them loses every link at once. */
export async function certificates(config: Config, nowMs: number = Date.now()): Promise<Finding> {
  const files = new Set(filesOf(config))
  const findings = await Promise.all(Array.from(files, file => examined(file, nowMs)))
  const having = (state: Finding['state']) => findings.filter(finding => finding.state === state)
  const [bad] = [...having('failure'), ...having('warning')]
  if (bad !== undefined) return bad
  return ok('certificates', findings.length === 0 ? 'none in use' : 'none ends within 30 days')
}

function filesOf({ tlsDir, api, etcd, nbd, peer }: Config): string[] {
  const isUsed = nbd.tls !== 'off' || (peer.tls !== 'off' && etcd.urls.length > 0)
  const files: string[] = []
  if (isUsed && tlsDir !== null) files.push(join(tlsDir, 'ca.pem'), join(tlsDir, 'cert.pem'))
  if (api.tls !== null) files.push(join(api.tls, 'cert.pem'))
  if (etcd.tls !== null) {
    files.push(join(etcd.tls, 'ca.pem'))
    // Where etcd asks for none there need not be one.
    if (existsSync(join(etcd.tls, 'cert.pem'))) files.push(join(etcd.tls, 'cert.pem'))
  }
  return files
}

async function examined(file: string, nowMs: number): Promise<Finding> {
  const found = await readFile(file)
    .then(pem => new X509Certificate(pem))
    .catch((error: unknown) => systemReason(error))
  if (typeof found === 'string') {
    return failure('certificates', `${file} cannot be read (${found}): the daemon could not start again`)
  }
  const leftMs = Date.parse(found.validTo) - nowMs
  if (leftMs > WARN_MS) return ok('certificates', file)
  const day = new Date(found.validTo).toISOString().slice(0, 10)
  const remedy = 'put a new one there, and restart one daemon at a time'
  return leftMs > 0
    ? warning('certificates', `${file} ends on ${day}: ${remedy}`)
    : failure('certificates', `${file} ended on ${day}: ${remedy}`)
}
