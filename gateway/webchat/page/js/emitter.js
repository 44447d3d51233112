// Who wants to know says on(name, fn) and keeps the function that ends it.
export class Emitter {
    #listeners = new Map();

    on(name, fn) {
        let set = this.#listeners.get(name);
        if (!set) this.#listeners.set(name, (set = new Set()));
        set.add(fn);
        return () => set.delete(fn);
    }

    emit(name, ...values) {
        for (const fn of [...(this.#listeners.get(name) ?? [])]) fn(...values);
    }
}
