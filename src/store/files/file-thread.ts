import type { Worker } from 'node:worker_threads'
import { startWorker } from '../../lib/start-worker.ts'
import type { FileTask, FileThread } from './file-task.ts'

interface Waiting {
  resolve(result: number): void
  reject(error: Error): void
}

/** Starts the worker with its first task, so that an idle brick has no threads. */
export function startFileThread(): FileThread {
  const waiting: Waiting[] = []
  let worker: Worker | null = null
  let death: Error | null = null

  function die(error: Error): void {
    death ??= error
    for (const { reject } of waiting.splice(0)) reject(death)
  }

  function start(): Worker {
    const started = startWorker('file-thread-worker', import.meta.url)
    started.on('message', (result: number) => waiting.shift()?.resolve(result))
    started.on('error', error => die(error instanceof Error ? error : new Error(String(error))))
    started.on('exit', code => die(new Error(`a file thread ended with code ${code}`)))
    return started
  }

  return {
    run(task: FileTask): Promise<number> {
      if (death !== null) return Promise.reject(death)
      worker ??= start()
      worker.ref()
      worker.postMessage(task)
      return new Promise<number>((resolve, reject) => waiting.push({ resolve, reject })).finally(() => {
        if (waiting.length === 0) worker?.unref()
      })
    },
    async close(): Promise<void> {
      death ??= new Error('the file thread is closed')
      await worker?.terminate()
    },
  }
}
