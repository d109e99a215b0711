require "ihave";

if ihave ["fileinto", "vnd.example.nothing"] {
    stop;
}
fileinto "x";
