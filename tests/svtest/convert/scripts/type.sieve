require "convert";
convert "image" "image/jpeg" [""];
