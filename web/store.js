// Conversations, in the browser's IndexedDB and nowhere else. One record per conversation:
//   {id, title, renamed, created_ms, updated_ms, messages: [{role, content, ...}]}

const NAME = "hearth";
const TABLE = "conversations";

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function complete({ transaction }) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

export class Store {
  // `persistent` is false where the browser keeps nothing; everything else works all the same.
  static async open() {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { keyPath: "id" });
      return new Store(await settled(request));
    } catch (error) {
      console.warn("no IndexedDB:", error);
      return new Store(null);
    }
  }

  constructor(database) {
    this.database = database;
    this.persistent = database !== null;
  }

  async all() {
    if (!this.persistent) return [];
    const rows = await settled(this.#table("readonly").getAll());
    return rows.sort((a, b) => b.updated_ms - a.updated_ms);
  }

  // These three end once the change outlives the page: a request that has succeeded is undone when
  // the page goes before its transaction is complete.
  async put(conversation) {
    if (this.persistent) await complete(this.#table("readwrite").put(conversation));
  }

  async remove(id) {
    if (this.persistent) await complete(this.#table("readwrite").delete(id));
  }

  async clear() {
    if (this.persistent) await complete(this.#table("readwrite").clear());
  }

  #table(mode) {
    return this.database.transaction(TABLE, mode).objectStore(TABLE);
  }
}

export function newConversation() {
  const now_ms = Date.now();
  // Not crypto.randomUUID: that one is missing on plain http beyond localhost.
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  const id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { id, title: "", renamed: false, created_ms: now_ms, updated_ms: now_ms, messages: [] };
}

const TITLE_MAX = 60;

export function titleFrom(question) {
  const line = question.trim().split("\n")[0].trim();
  const letters = Array.from(line);
  return letters.length > TITLE_MAX ? `${letters.slice(0, TITLE_MAX - 1).join("")}…` : line;
}

// As a file for the reader: a plain array of messages and what is known about each answer.
export function exportText({ title, created_ms, updated_ms, messages }, system) {
  const time = (ms) => new Date(ms).toISOString();
  return JSON.stringify({
    format: "hearth.conversation", version: 1, title, created: time(created_ms),
    updated: time(updated_ms), ...(system ? { system_prompt: system } : {}), messages,
  }, null, 2);
}
