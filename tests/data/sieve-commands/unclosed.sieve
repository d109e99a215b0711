require "fileinto";
if true {
    fileinto "Folder;
}
