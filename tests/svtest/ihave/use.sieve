require "ihave";

if ihave ["fileinto", "mailbox"] {
    fileinto :create "Guarded";
}
