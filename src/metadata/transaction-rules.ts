import { HoldfastError } from '../errors/holdfast-error.ts'
import { type Operation, TRANSACTION_OPERATIONS_MAX, type Transaction } from './metadata-store.ts'

function refuse(what: string): never {
  throw new HoldfastError('ERR_ARGUMENT_INVALID', `metadata transaction refused: ${what}`)
}

/** etcd's checkTxnRequest: one branch may not put a key twice, nor put what it deletes. Deletes may overlap. */
function checkBranch(operations: readonly Operation[]): void {
  if (operations.length > TRANSACTION_OPERATIONS_MAX) refuse('too many operations')
  const puts = new Set<string>()
  for (const operation of operations) {
    if (operation.do !== 'put') continue
    if (puts.has(operation.key)) refuse(`'${operation.key}' is put twice`)
    puts.add(operation.key)
  }
  for (const operation of operations) {
    const clash =
      operation.do === 'delete'
        ? puts.has(operation.key)
        : operation.do === 'deletePrefix' && [...puts].some(key => key.startsWith(operation.prefix))
    if (clash) refuse('a key is both put and deleted')
  }
}

/** Throws ERR_ARGUMENT_INVALID for what etcd refuses before it looks at any key, with etcd's default limits. */
export function checkTransaction(transaction: Transaction): void {
  if (transaction.compare.length > TRANSACTION_OPERATIONS_MAX) refuse('too many comparisons')
  for (const branch of [transaction.success, transaction.failure ?? []]) {
    checkBranch(branch)
    if (branch.some(operation => operation.do !== 'deletePrefix' && operation.key === '')) {
      refuse('a key is empty')
    }
  }
  if (transaction.compare.some(compare => compare.key === '')) refuse('a key is empty')
}
