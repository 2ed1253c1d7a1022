// Made by make_types.py from comfyrec's schemas; do not edit.

export interface StatusData {
  status?: QueueStatus;
  sid?: string;
}

export interface PromptTime {
  prompt_id?: string;
  timestamp?: number;
}

export interface ExecutionCachedData {
  nodes?: (string | number)[];
  prompt_id?: string;
  timestamp?: number;
}

export interface ExecutingData {
  node: string | number | null;
  display_node?: string | number;
  prompt_id?: string;
}

export interface ProgressStateData {
  prompt_id?: string;
  nodes?: unknown;
}

export interface ProgressData {
  value?: number;
  max?: number;
  prompt_id?: string;
  node?: string | number;
}

export interface ExecutedData {
  node?: string | number;
  display_node?: string | number;
  output: Record<string, unknown> | null;
  prompt_id?: string;
}

export interface ExecutionErrorData {
  prompt_id?: string;
  node_id?: string | number;
  node_type?: string;
  executed?: (string | number)[];
  exception_message?: string;
  exception_type?: string;
  traceback?: string[];
  current_inputs?: Record<string, unknown> | unknown[];
  current_outputs?: Record<string, unknown> | unknown[];
  timestamp?: number;
}

export interface ExecutionInterruptedData {
  prompt_id?: string;
  node_id?: string | number;
  node_type?: string;
  executed?: (string | number)[];
  timestamp?: number;
}

export interface LogsData {
  entries?: unknown;
  size: LogSize | null;
}

export interface SeedStarted {
  roots?: string[];
  total?: number;
  phase?: string;
}

export interface SeedFast {
  roots?: string[];
  created?: number;
  skipped?: number;
  total?: number;
}

export interface SeedEnriched {
  roots?: string[];
  enriched?: number;
}

export interface SeedTotals {
  phase?: string;
  total?: number;
  created?: number;
  enriched?: number;
  skipped?: number;
  elapsed?: number;
}

export interface NotificationData {
  value?: string;
  id?: string;
}

export interface QueueStatus {
  exec_info?: ExecInfo;
}

export interface LogSize {
  cols?: number;
  rows?: number;
}

export interface ExecInfo {
  queue_remaining?: number;
}

/** The text messages of a ComfyUI server: type -> data. */
export interface EventData {
  "status": StatusData;
  "feature_flags": Record<string, unknown>;
  "execution_start": PromptTime;
  "execution_cached": ExecutionCachedData;
  "executing": ExecutingData;
  "progress_state": ProgressStateData;
  "progress": ProgressData;
  "executed": ExecutedData;
  "execution_success": PromptTime;
  "execution_error": ExecutionErrorData;
  "execution_interrupted": ExecutionInterruptedData;
  "logs": LogsData;
  "assets.seed.started": SeedStarted;
  "assets.seed.fast_complete": SeedFast;
  "assets.seed.enrich_complete": SeedEnriched;
  "assets.seed.completed": SeedTotals;
  "notification": NotificationData;
}

export type EventType = keyof EventData;

export type ComfyEvent = { [T in EventType]: { type: T; data: EventData[T] } }[EventType];
