require "ihave";

if ihave ["fileinto", "vnd.example.nothing"] {
    fileinto "x";
    melt "down";
}
